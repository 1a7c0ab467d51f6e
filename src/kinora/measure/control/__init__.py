"""How well conditions are obeyed: exact figures on held-out scenes, and on photographs where these can be measured."""
