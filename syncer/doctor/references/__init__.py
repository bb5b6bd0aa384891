"""What configuration files of known programs name: one pure parser for each format."""
