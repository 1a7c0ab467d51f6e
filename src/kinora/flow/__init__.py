"""Flow matching: latent states, schedules, solvers, guidance, the objective.

    x_sigma = (1 - sigma) x_0 + sigma noise        (Lipman et al. 2022; Liu et al. 2022)
    v = dx / dsigma = noise - x_0                  what the model predicts
    model time = 1000 sigma

Axes: B batch, C channels, T latent frames, H W latent grid.
"""
