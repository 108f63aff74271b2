"""The verbs of the catalogue: sellers manage their own products, imports bring many at once."""
