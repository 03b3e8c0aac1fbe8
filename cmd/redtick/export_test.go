package main

// Current is current, the tick of a --tick period.
var Current = current

// Away is away, which formats how far an instant is from now.
var Away = away
