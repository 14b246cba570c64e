"""Models: one file a family, found by itself (`tapeline.models.base.find_models`)."""
