"""The four systems that ship with the package, built only on what any gateway can use."""
