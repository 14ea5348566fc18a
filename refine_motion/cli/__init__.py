"""The command line: LightningCLI and one file per extra command."""
