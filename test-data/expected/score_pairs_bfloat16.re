id	status	l2	wt_length	mut_length	n_differences	wt_tokens	mut_tokens	changed_tokens	ends$
ATT_to_ATA	ok	(?#0.129967)(?:0\.1273[6-9]\d*|0\.127[4-9]\d*|0\.12[8-9]\d*|0\.13[0-1]\d*|0\.13|0\.132[0-4]\d*|0\.132|0\.1325[0-6]\d*|0\.1325)	33	33	1	14	14	2	whole$
TCT_deletion	ok	(?#0.357435)(?:0\.350[2-9]\d*|0\.35[1-9]\d*|0\.36[0-3]\d*|0\.36|0\.364[0-5]\d*|0\.364)	33	30	3	14	13	3	whole$
