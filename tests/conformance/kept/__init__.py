"""Results of tools of each framework, kept while a person is asked, in the framework's own environment."""
