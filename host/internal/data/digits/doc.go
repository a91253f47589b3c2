// Package digits holds a small real data set, so that a first model can be
// trained with nothing but the program: 1,797 pictures of handwritten digits
// of 8x8 pixels with values from 0 to 16, and which digit each is.
//
// It is the test set of "Optical Recognition of Handwritten Digits" by E.
// Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998
// (https://doi.org/10.24432/C50P49), under the Creative Commons Attribution
// 4.0 International licence; the same rows in the same order as scikit-learn's
// load_digits. The two files are its bytes in IDX form, compressed by gzip.
package digits
