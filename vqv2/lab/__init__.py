"""What judges, predicts, measures and reports: the commands look in here, the models never do."""
