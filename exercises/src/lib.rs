//! Nothing: the exercises are the tests of this package. See README.md.
