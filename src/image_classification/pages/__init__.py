"""What does a person see of a night? A page of each night, and a page of all of them."""
