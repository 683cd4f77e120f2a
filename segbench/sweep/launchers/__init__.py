"""Workers as jobs of Slurm: submitted by submitit, followed by `squeue`, remembered in `slurm/jobs.json`."""
