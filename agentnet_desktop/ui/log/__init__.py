"""The live log: table, filter line and the detail of one entry."""
