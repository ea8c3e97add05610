id	status	l2	wt_length	mut_length	n_differences	wt_tokens	mut_tokens	changed_tokens	ends$
ATT_to_ATA	ok	(?#2.39029)(?:2\.342[4-9]\d*|2\.34[3-9]\d*|2\.3[5-9]\d*|2\.4[0-2]\d*|2\.4|2\.43[0-7]\d*|2\.43|2\.4380\d*|2\.438)	33	33	1	12	12	2	whole$
TCT_deletion	ok	(?#1.23123)(?:1\.206[6-9]\d*|1\.20[7-9]\d*|1\.2[1-4]\d*|1\.25[0-4]\d*|1\.25|1\.255[0-8]\d*|1\.255)	33	30	3	12	11	2	whole$
