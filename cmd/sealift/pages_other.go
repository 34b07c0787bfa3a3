//go:build !linux

package main

// returnPages does nothing where the kernel is another than Linux.
func returnPages() {}
