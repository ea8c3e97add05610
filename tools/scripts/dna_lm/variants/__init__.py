"""Score variants: the alleles and their background, the order by impact, the VCF, the track, the report."""
