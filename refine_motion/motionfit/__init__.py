"""MotionFit: what a flow model says of videos teaches a model of their looks (Gavrilyuk et al., arXiv 2105.01646).

A reconstruction: no code was found, and of the paper only the abstract and the plan of its steps are known here. What
is not published is a setting, and its default a choice of this project.
"""
