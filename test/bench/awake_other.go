//go:build !linux

package main

import "errors"

func keepAwake() (stop func(), err error) {
	return nil, errors.New("it needs Linux' idle priority")
}
