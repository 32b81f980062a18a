"""One module per web framework; the only code of this package that imports one."""
