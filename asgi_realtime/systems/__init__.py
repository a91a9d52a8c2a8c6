"""The systems that come with the package. Each is a package of its own, made of what a gateway of a host may use."""
