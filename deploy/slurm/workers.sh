#!/bin/bash
# Workers as a Slurm array, each task on a node or a part of one: docs/many-machines.md.
#   sbatch deploy/slurm/workers.sh                                       on processor cores
#   sbatch --gres=gpu:1 deploy/slurm/workers.sh --device cuda            two workers for each GPU
#SBATCH --job-name=ridgeway-workers
#SBATCH --array=1-4
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=12:00:00
#SBATCH --requeue
# A minute before the time is up workers hand back what they have in hand, and others go on with it.
#SBATCH --signal=B:TERM@60
set -euo pipefail
set -a
. "${ENVIRONMENT:-/etc/ridgeway/environment}"
set +a
# In place of the shell, so that Slurm's signal reaches it.
exec ridgeway worker "$@"
