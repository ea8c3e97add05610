chrom	pos	ref	alt	id	status	l2	wt_length	mut_length	n_differences	wt_tokens	mut_tokens	changed_tokens	ends	window_start	window_end	kind	norm_pos	norm_ref	norm_alt	shift$
chr1	300	G	A	snv	ok	(?#6.82868)(?:6\.821[8-9]\d*|6\.82[2-9]\d*|6\.83[0-4]\d*|6\.83|6\.835[0-5]\d*|6\.835)	201	201	1	74	74	2	whole	200	400	substitution	300	G	A	0$
chr2	350	G	A	snv_chr2	ok	(?#3.13761)(?:3\.1344[7-9]\d*|3\.134[5-9]\d*|3\.13[5-9]\d*|3\.140[0-6]\d*|3\.14|3\.1407[0-4]\d*|3\.1407)	201	201	1	69	69	2	whole	250	450	substitution	350	G	A	0$
chr1	150	T	C	unsorted	ok	(?#5.46938)(?:5\.4639\d*|5\.46[4-9]\d*|5\.47[0-3]\d*|5\.47|5\.474[0-8]\d*|5\.474)	201	201	1	74	74	1	whole	50	250	substitution	150	T	C	0$
chr1	300	G	A	twice	ok	(?#6.82868)(?:6\.821[8-9]\d*|6\.82[2-9]\d*|6\.83[0-4]\d*|6\.83|6\.835[0-5]\d*|6\.835)	201	201	1	74	74	2	whole	200	400	substitution	300	G	A	0$
chr1	401	CA	C	del_left	ok	(?#19.3099)(?:19\.290[6-9]\d*|19\.29[1-9]\d*|19\.3[0-1]\d*|19\.3|19\.32[0-8]\d*|19\.32|19\.329[0-2]\d*|19\.329)	202	201	1	70	69	2	whole	301	502	deletion	401	CA	C	8$
chr1	405	AA	A	del_middle	ok	(?#19.3099)(?:19\.290[6-9]\d*|19\.29[1-9]\d*|19\.3[0-1]\d*|19\.3|19\.32[0-8]\d*|19\.32|19\.329[0-2]\d*|19\.329)	202	201	1	70	69	2	whole	301	502	deletion	401	CA	C	8$
chr1	407	AAAAGT	AAAGT	del_padded	ok	(?#19.3099)(?:19\.290[6-9]\d*|19\.29[1-9]\d*|19\.3[0-1]\d*|19\.3|19\.32[0-8]\d*|19\.32|19\.329[0-2]\d*|19\.329)	202	201	1	70	69	2	whole	301	502	deletion	401	CA	C	8$
chr1	410	A	AA	ins	ok	(?#7.42798)(?:7\.420[5-9]\d*|7\.42[1-9]\d*|7\.43[0-4]\d*|7\.43|7\.435[0-4]\d*|7\.435)	201	202	1	71	71	3	whole	301	501	insertion	401	C	CA	9$
chr1	601	CAGCAG	CAG	repeat	ok	(?#14.2716)(?:14\.257[3-9]\d*|14\.25[8-9]\d*|14\.2[6-7]\d*|14\.28[0-4]\d*|14\.28|14\.285[0-8]\d*|14\.285)	204	201	3	75	74	1	whole	500	703	deletion	600	CCAG	C	21$
chr1	601	CAGCAG	CAGCAGCAG	repeat	ok	(?#18.9621)(?:18\.943[1-9]\d*|18\.94[4-9]\d*|18\.9[5-7]\d*|18\.980\d*|18\.98|18\.9810\d*|18\.981)	201	204	3	73	74	1	whole	500	700	insertion	600	C	CCAG	24$
chr1	500	AC	GT	mnv	ok	(?#6.19015)(?:6\.1839\d*|6\.18[4-9]\d*|6\.19[0-5]\d*|6\.19|6\.196[0-3]\d*|6\.196)	202	202	2	72	72	2	whole	400	601	substitution	500	AC	GT	0$
chr1	299	AGG	AAG	snv_padded	ok	(?#6.82868)(?:6\.821[8-9]\d*|6\.82[2-9]\d*|6\.83[0-4]\d*|6\.83|6\.835[0-5]\d*|6\.835)	201	201	1	74	74	2	whole	200	400	substitution	300	G	A	0$
chr2	100	CCT	TTTTT	complex	ok	(?#10.1514)(?:10\.141[2-9]\d*|10\.14[2-9]\d*|10\.15\d*|10\.160\d*|10\.16|10\.161[0-5]\d*|10\.161)	202	204	4	72	73	2	whole	1	202	combination	100	CC	TTTT	0$
chr2	200	a	g	lower	ok	(?#14.3688)(?:14\.354[4-9]\d*|14\.35[5-9]\d*|14\.3[6-7]\d*|14\.38[0-2]\d*|14\.38|14\.383[0-2]\d*|14\.383)	201	201	1	67	67	2	whole	100	300	substitution	200	A	G	0$
chr1	1050	T	C	in_lower_case	ok	(?#4.89543)(?:4\.8905[3-9]\d*|4\.890[6-9]\d*|4\.89[1-9]\d*|4\.900[0-2]\d*|4\.9|4\.9003[0-3]\d*|4\.9003)	201	201	1	74	74	1	whole	950	1150	substitution	1050	T	C	0$
chr1	1	A	G	first_base	ok	(?#15.2918)(?:15\.276[4-9]\d*|15\.27[7-9]\d*|15\.2[8-9]\d*|15\.30[0-6]\d*|15\.3|15\.3070\d*|15\.307)	201	201	1	72	72	2	whole	1	201	substitution	1	A	G	0$
chr2	700	T	C	last_base	ok	(?#7.75481)(?:7\.74[7-9]\d*|7\.75\d*|7\.76[0-1]\d*|7\.76|7\.762[0-5]\d*|7\.762)	201	201	1	73	73	1	whole	500	700	substitution	700	T	C	0$
chr1	320	C	A	three	ok	(?#5.70639)(?:5\.700[6-9]\d*|5\.70[1-9]\d*|5\.71[0-1]\d*|5\.71|5\.7120\d*|5\.712)	201	201	1	73	73	2	whole	220	420	substitution	320	C	A	0$
chr1	320	C	G	three	ok	(?#5.03396)(?:5\.0289\d*|5\.029\d*|5\.03[0-8]\d*|5\.03)	201	201	1	73	73	3	whole	220	420	substitution	320	C	G	0$
chr1	320	C	T	three	ok	(?#4.86349)(?:4\.8586[2-9]\d*|4\.858[7-9]\d*|4\.859\d*|4\.86[0-7]\d*|4\.86|4\.868[0-2]\d*|4\.868|4\.8683[0-4]\d*|4\.8683)	201	201	1	73	73	3	whole	220	420	substitution	320	C	T	0$
chr1	600	C	T	mixed	ok	(?#11.3519)(?:11\.340[5-9]\d*|11\.34[1-9]\d*|11\.35\d*|11\.36[0-2]\d*|11\.36|11\.363[0-2]\d*|11\.363)	201	201	1	73	73	1	whole	500	700	substitution	600	C	T	0$
chr1	600	C	<DEL>	mixed	symbolic_allele															$
chr1	600	C	\*	mixed	symbolic_allele															$
chr1	610	C	<DUP:TANDEM>	symbolic	symbolic_allele															$
chr1	620	A	A\[chr2:30\[	breakend	symbolic_allele															$
chr1	630	A	\.	no_alt	missing_alt															$
chr1	640	A	A	same	no_change															$
chr1	650	C	T	mismatch	ref_mismatch															$
chr1	660	T	R	iupac	invalid_base															$
chr1	1171	C	T	near_unknown	invalid_base		201	201						1071	1271	substitution	1171	C	T	0$
chr1	1201	N	A	on_unknown	invalid_base															$
chrUn	5	A	C	unknown_contig	unknown_contig															$
chr3	75	G	A	short_contig	window_off_end															$
chr2	233	T	C	chr2:233:T>C	ok	(?#4.37487)(?:4\.37049\d*|4\.370[5-9]\d*|4\.37[1-8]\d*|4\.379[0-1]\d*|4\.379|4\.3792[0-4]\d*|4\.3792)	201	201	1	69	69	2	whole	133	333	substitution	233	T	C	0$
