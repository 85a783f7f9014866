"""The global plane: desired, detect, task, dispatch, report, converge."""
