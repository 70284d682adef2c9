"""The report of a job: one HTML page that needs nothing else.

What is told comes in as one value; sections are small functions from it, the page joins them:

    material = Material(evidence, profile, description)
    html = render_report(material)
"""
