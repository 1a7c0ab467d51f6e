"""Files to clips and back: films, pictures, the recipes inside them."""
