id	status	l2	wt_length	mut_length	n_differences	wt_tokens	mut_tokens	changed_tokens	ends$
ATT_to_ATA	ok	(?#16.0689)(?:16\.052[8-9]\d*|16\.05[3-9]\d*|16\.0[6-7]\d*|16\.08[0-4]\d*|16\.08)	33	33	1	12	12	2	whole$
TCT_deletion	ok	(?#22.6319)(?:22\.609[2-9]\d*|22\.6[1-4]\d*|22\.65[0-3]\d*|22\.65|22\.654[0-5]\d*|22\.654)	33	30	3	12	11	2	whole$
