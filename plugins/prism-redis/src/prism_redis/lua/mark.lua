-- A position between all that was done and all that is to come.
return whole(next_position())
