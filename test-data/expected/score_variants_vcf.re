\#\#fileformat=VCFv4\.2$
\#\#INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">$
\#\#contig=<ID=chr1,length=2000>$
\#\#contig=<ID=chr2,length=700>$
\#\#contig=<ID=chr3,length=150>$
##dna_lm=<ID=DNALM,.*$
##INFO=<ID=DNALM_L2,Number=A,Type=Float,.*$
##INFO=<ID=DNALM_STATUS,Number=A,Type=String,.*$
\#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	mother	<i>son$
chr1	300	snv	G	A	0	PASS	DP=12;DNALM_L2=(?#6.82868)(?:6\.821[8-9]\d*|6\.82[2-9]\d*|6\.83[0-4]\d*|6\.83|6\.835[0-5]\d*|6\.835);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr2	350	snv_chr2	G	A	1	PASS	DNALM_L2=(?#3.13761)(?:3\.1344[7-9]\d*|3\.134[5-9]\d*|3\.13[5-9]\d*|3\.140[0-6]\d*|3\.14|3\.1407[0-4]\d*|3\.1407);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	150	unsorted	T	C	2	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#5.46938)(?:5\.4639\d*|5\.46[4-9]\d*|5\.47[0-3]\d*|5\.47|5\.474[0-8]\d*|5\.474);DNALM_STATUS=ok	GT	0/0	1/1$
chr1	300	twice	G	A	3	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#6.82868)(?:6\.821[8-9]\d*|6\.82[2-9]\d*|6\.83[0-4]\d*|6\.83|6\.835[0-5]\d*|6\.835);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	401	del_left	CA	C	4	PASS	DP=12;DNALM_L2=(?#19.3099)(?:19\.290[6-9]\d*|19\.29[1-9]\d*|19\.3[0-1]\d*|19\.3|19\.32[0-8]\d*|19\.32|19\.329[0-2]\d*|19\.329);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	405	del_middle	AA	A	5	PASS	DNALM_L2=(?#19.3099)(?:19\.290[6-9]\d*|19\.29[1-9]\d*|19\.3[0-1]\d*|19\.3|19\.32[0-8]\d*|19\.32|19\.329[0-2]\d*|19\.329);DNALM_STATUS=ok	GT	0/0	1/1$
chr1	407	del_padded	AAAAGT	AAAGT	6	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#19.3099)(?:19\.290[6-9]\d*|19\.29[1-9]\d*|19\.3[0-1]\d*|19\.3|19\.32[0-8]\d*|19\.32|19\.329[0-2]\d*|19\.329);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	410	ins	A	AA	7	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#7.42798)(?:7\.420[5-9]\d*|7\.42[1-9]\d*|7\.43[0-4]\d*|7\.43|7\.435[0-4]\d*|7\.435);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	601	repeat	CAGCAG	CAG,CAGCAGCAG	8	PASS	DP=12;DNALM_L2=(?#14.2716)(?:14\.257[3-9]\d*|14\.25[8-9]\d*|14\.2[6-7]\d*|14\.28[0-4]\d*|14\.28|14\.285[0-8]\d*|14\.285),(?#18.9621)(?:18\.943[1-9]\d*|18\.94[4-9]\d*|18\.9[5-7]\d*|18\.980\d*|18\.98|18\.9810\d*|18\.981);DNALM_STATUS=ok,ok	GT	0/0	1/1$
chr1	500	mnv	AC	GT	9	PASS	DNALM_L2=(?#6.19015)(?:6\.1839\d*|6\.18[4-9]\d*|6\.19[0-5]\d*|6\.19|6\.196[0-3]\d*|6\.196);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	299	snv_padded	AGG	AAG	10	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#6.82868)(?:6\.821[8-9]\d*|6\.82[2-9]\d*|6\.83[0-4]\d*|6\.83|6\.835[0-5]\d*|6\.835);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr2	100	complex	CCT	TTTTT	11	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#10.1514)(?:10\.141[2-9]\d*|10\.14[2-9]\d*|10\.15\d*|10\.160\d*|10\.16|10\.161[0-5]\d*|10\.161);DNALM_STATUS=ok	GT	0/0	1/1$
chr2	200	lower	a	g	12	PASS	DP=12;DNALM_L2=(?#14.3688)(?:14\.354[4-9]\d*|14\.35[5-9]\d*|14\.3[6-7]\d*|14\.38[0-2]\d*|14\.38|14\.383[0-2]\d*|14\.383);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	1050	in_lower_case	T	C	13	PASS	DNALM_L2=(?#4.89543)(?:4\.8905[3-9]\d*|4\.890[6-9]\d*|4\.89[1-9]\d*|4\.900[0-2]\d*|4\.9|4\.9003[0-3]\d*|4\.9003);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	1	first_base	A	G	14	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#15.2918)(?:15\.276[4-9]\d*|15\.27[7-9]\d*|15\.2[8-9]\d*|15\.30[0-6]\d*|15\.3|15\.3070\d*|15\.307);DNALM_STATUS=ok	GT	0/0	1/1$
chr2	700	last_base	T	C	15	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#7.75481)(?:7\.74[7-9]\d*|7\.75\d*|7\.76[0-1]\d*|7\.76|7\.762[0-5]\d*|7\.762);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	320	three	C	A,G,T	16	PASS	DP=12;DNALM_L2=(?#5.70639)(?:5\.700[6-9]\d*|5\.70[1-9]\d*|5\.71[0-1]\d*|5\.71|5\.7120\d*|5\.712),(?#5.03396)(?:5\.0289\d*|5\.029\d*|5\.03[0-8]\d*|5\.03),(?#4.86349)(?:4\.8586[2-9]\d*|4\.858[7-9]\d*|4\.859\d*|4\.86[0-7]\d*|4\.86|4\.868[0-2]\d*|4\.868|4\.8683[0-4]\d*|4\.8683);DNALM_STATUS=ok,ok,ok	GT	1\|0	0\|0$
chr1	600	mixed	C	T,<DEL>,\*	17	PASS	DNALM_L2=(?#11.3519)(?:11\.340[5-9]\d*|11\.34[1-9]\d*|11\.35\d*|11\.36[0-2]\d*|11\.36|11\.363[0-2]\d*|11\.363),\.,\.;DNALM_STATUS=ok,symbolic_allele,symbolic_allele	GT	0/0	1/1$
chr1	610	symbolic	C	<DUP:TANDEM>	18	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=\.;DNALM_STATUS=symbolic_allele	GT:DP	0/1:7	\./\.$
chr1	620	breakend	A	A\[chr2:30\[	19	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=\.;DNALM_STATUS=symbolic_allele	GT	1\|0	0\|0$
chr1	630	no_alt	A	\.	20	PASS	DP=12;DNALM_L2=\.;DNALM_STATUS=missing_alt	GT	0/0	1/1$
chr1	640	same	A	A	21	PASS	DNALM_L2=\.;DNALM_STATUS=no_change	GT:DP	0/1:7	\./\.$
chr1	650	mismatch	C	T	22	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=\.;DNALM_STATUS=ref_mismatch	GT	1\|0	0\|0$
chr1	660	iupac	T	R	23	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=\.;DNALM_STATUS=invalid_base	GT	0/0	1/1$
chr1	1171	near_unknown	C	T	24	PASS	DP=12;DNALM_L2=\.;DNALM_STATUS=invalid_base	GT:DP	0/1:7	\./\.$
chr1	1201	on_unknown	N	A	25	PASS	DNALM_L2=\.;DNALM_STATUS=invalid_base	GT	1\|0	0\|0$
chrUn	5	unknown_contig	A	C	26	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=\.;DNALM_STATUS=unknown_contig	GT	0/0	1/1$
chr3	75	short_contig	G	A	27	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=\.;DNALM_STATUS=window_off_end	GT:DP	0/1:7	\./\.$
chr2	233	\.	T	C	28	PASS	DP=12;DNALM_L2=(?#4.37487)(?:4\.37049\d*|4\.370[5-9]\d*|4\.37[1-8]\d*|4\.379[0-1]\d*|4\.379|4\.3792[0-4]\d*|4\.3792);DNALM_STATUS=ok	GT	1\|0	0\|0$
