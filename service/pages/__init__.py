"""The pages that people open: routes, templates and static files; no build step, no other host.

jobs.py, job.py, ...   one subject's routes: they read, and render one template with what is read
templates/             Jinja; `base.html.jinja` is the frame, `parts.html.jinja` what pages share
static/                one style sheet, and small ES modules, which call REST as any client does
"""
