package preprocess

import "github.com/hone-ml/hone/sdk"

// Plugin returns the plugin.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name: "preprocess", Version: "0.1.0",
		Transforms: sdk.Transforms{
			"bucketize":          of[Bucketize],
			"clip_outliers":      of[ClipOutliers],
			"copy":               of[Copy],
			"drop_missing":       of[DropMissing],
			"hash":               of[Hash],
			"impute":             of[Impute],
			"label":              of[Label],
			"log1p":              of[Log1p],
			"max_abs":            of[MaxAbs],
			"min_max":            of[MinMax],
			"one_hot":            of[OneHot],
			"ordinal":            of[Ordinal],
			"over_sample":        of[OverSample],
			"parse_number":       of[ParseNumber],
			"pca":                of[PCA],
			"random_crop":        of[RandomCrop],
			"random_flip":        of[RandomFlip],
			"rescale":            of[Rescale],
			"robust":             of[Robust],
			"select":             of[Select],
			"standardize":        of[Standardize],
			"under_sample":       of[UnderSample],
			"variance_threshold": of[VarianceThreshold],
		},
	}
}

// of returns a new transform of type T.
func of[T any, P interface {
	*T
	sdk.Transform
}]() sdk.Transform {
	return P(new(T))
}
