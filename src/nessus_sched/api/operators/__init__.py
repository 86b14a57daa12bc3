"""Tools for the models of operators."""
