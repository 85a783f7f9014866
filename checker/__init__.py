"""The checker: a region's health as reasoned flags."""
