"""The penalties: values, proximal steps, critical strengths, conversions."""
