"""What pytest leaves alone here: the template is a project of its own, which a test builds, installs and runs."""

collect_ignore = ["template"]
