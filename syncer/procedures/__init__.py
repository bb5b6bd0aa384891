"""Work in several steps that a person, a timer or another procedure starts."""
