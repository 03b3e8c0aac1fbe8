package main

// Current is what a period of --tick stands for.
var Current = current

// Away is how far an instant is from now, in words.
var Away = away
