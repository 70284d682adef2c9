"""Ridgeway: which penalty, and how strong?"""
