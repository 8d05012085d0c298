"""What a configuration will cost, before it is built: `cost` counts, `device` predicts."""
