"""Plots of an answer, in Vega-Lite: the same for the service, the report and notebooks.

Each module but the few below draws one plot, or a few that share their data, and `plots.py` lists
them. A plot is a function of a job's `Evidence` and a `Theme`, or None where there is nothing to
draw; its title is what it found. Names that people chose (of columns, penalties, jobs) stand in
the data's values alone, never in a field's name or an expression, and pass `text.plain` first.

    evidence = read_evidence(database, store, job_id)  # ridgeway.jobs.evidence
    picture = draw(PLOTS["penalties"], evidence, THEMES["dark"].wide(NARROW))
    if picture is not None:
        print(picture.title)
        Path("penalties.svg").write_bytes(picture.render("svg"))

evidence.py is what is drawn, ped_anova.py what of it takes Optuna; palette.py and theme.py have
colours and sizes, text.py names and captions; render.py makes JSON, SVG and PNG. Altair is imported
with the first plot.
"""
