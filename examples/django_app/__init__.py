"""A chat on Django: the rooms of Mew, with the ORM, sessions and the admin."""
