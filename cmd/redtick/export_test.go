package main

// Current is what a period of --tick stands for.
var Current = current
