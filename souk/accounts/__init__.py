"""Who somebody is: users, their tokens, their public face, and whom they follow."""
