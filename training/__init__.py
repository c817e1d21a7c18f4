"""Both trainings, and the stand-in for the pretraining that comes before them."""
