"""Writes the data file of the contract. Needs the OpenAI SDK; never imported at run time."""
