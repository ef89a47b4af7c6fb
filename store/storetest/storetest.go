// Package storetest holds the promises that every store must keep, as tests that
// take the store: one for all kinds of objects, so that a folder and a bucket
// can't drift apart.
package storetest
