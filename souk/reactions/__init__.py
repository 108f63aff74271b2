"""What happens with nobody at the door: the log is heard, deadlines pass."""
