// Package preprocess is hone's plugin of transforms of tables and images. Names,
// defaults and formulas are scikit-learn's where it has the transform.
//
// Every transform works on the columns that a spec names, or on those of the kind
// that it is for: numbers for the scalers, text for the encoders, the target for
// label and the samplers. A column may hold several elements a row, such as an image
// or the codes of one_hot; scalers then learn and scale each element on its own.
// So do the numbers of one_hot where a scaler comes after it: put scalers first, or
// name their columns. A transform takes the place of its columns; copy keeps the old.
// Missing values do not count in what is learned and stay missing, but for impute.
//
// Start reading at plugin.go, which lists them all, then scale.go.
package preprocess
