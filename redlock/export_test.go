package redlock

// CompanionOf is what the names of a name's companion keys begin with.
var CompanionOf = companion
