\#\#fileformat=VCFv4\.2$
\#\#INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">$
\#\#contig=<ID=chr1,length=2000>$
\#\#contig=<ID=chr2,length=700>$
\#\#contig=<ID=chr3,length=150>$
##dna_lm=<ID=DNALM,.*$
##INFO=<ID=DNALM_L2,Number=A,Type=Float,.*$
##INFO=<ID=DNALM_STATUS,Number=A,Type=String,.*$
\#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	mother	<i>son$
chr1	300	snv	G	A	0	PASS	DP=12;DNALM_L2=(?#10.9039)(?:10\.8929\d*|10\.89[3-9]\d*|10\.90\d*|10\.9|10\.91[0-3]\d*|10\.91|10\.914[0-7]\d*|10\.914);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr2	350	snv_chr2	G	A	1	PASS	DNALM_L2=(?#5.45309)(?:5\.447[6-9]\d*|5\.44[8-9]\d*|5\.45[0-7]\d*|5\.45|5\.458[0-5]\d*|5\.458);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	150	unsorted	T	C	2	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#2.30422)(?:2\.3019[2-9]\d*|2\.30[2-5]\d*|2\.306[0-4]\d*|2\.306|2\.3065[0-2]\d*|2\.3065);DNALM_STATUS=ok	GT	0/0	1/1$
chr1	300	twice	G	A	3	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#10.9039)(?:10\.8929\d*|10\.89[3-9]\d*|10\.90\d*|10\.9|10\.91[0-3]\d*|10\.91|10\.914[0-7]\d*|10\.914);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	401	del_left	CA	C	4	PASS	DP=12;DNALM_L2=(?#24.0071)(?:23\.98[3-9]\d*|23\.99\d*|24\.0[0-2]\d*|24(?:\.0)?|24\.030\d*|24\.03|24\.0310\d*|24\.031);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	405	del_middle	AA	A	5	PASS	DNALM_L2=(?#24.0071)(?:23\.98[3-9]\d*|23\.99\d*|24\.0[0-2]\d*|24(?:\.0)?|24\.030\d*|24\.03|24\.0310\d*|24\.031);DNALM_STATUS=ok	GT	0/0	1/1$
chr1	407	del_padded	AAAAGT	AAAGT	6	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#24.0071)(?:23\.98[3-9]\d*|23\.99\d*|24\.0[0-2]\d*|24(?:\.0)?|24\.030\d*|24\.03|24\.0310\d*|24\.031);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	410	ins	A	AA	7	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#12.43)(?:12\.417[6-9]\d*|12\.41[8-9]\d*|12\.4[2-3]\d*|12\.44[0-1]\d*|12\.44|12\.442[0-4]\d*|12\.442);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	601	repeat	CAGCAG	CAG,CAGCAGCAG	8	PASS	DP=12;DNALM_L2=(?#12.7651)(?:12\.752[3-9]\d*|12\.75[3-9]\d*|12\.76\d*|12\.77[0-6]\d*|12\.77|12\.777[0-8]\d*|12\.777),(?#16.1188)(?:16\.102[6-9]\d*|16\.10[3-9]\d*|16\.1[1-2]\d*|16\.13[0-3]\d*|16\.13|16\.134[0-8]\d*|16\.134);DNALM_STATUS=ok,ok	GT	0/0	1/1$
chr1	500	mnv	AC	GT	9	PASS	DNALM_L2=(?#2.70395)(?:2\.7012[4-9]\d*|2\.701[3-9]\d*|2\.70[2-5]\d*|2\.706[0-5]\d*|2\.706|2\.7066[0-5]\d*|2\.7066);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	299	snv_padded	AGG	AAG	10	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#10.9039)(?:10\.8929\d*|10\.89[3-9]\d*|10\.90\d*|10\.9|10\.91[0-3]\d*|10\.91|10\.914[0-7]\d*|10\.914);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr2	100	complex	CCT	TTTTT	11	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#13.966)(?:13\.95[2-9]\d*|13\.9[6-7]\d*);DNALM_STATUS=ok	GT	0/0	1/1$
chr2	200	lower	a	g	12	PASS	DP=12;DNALM_L2=(?#14.8926)(?:14\.877[7-9]\d*|14\.87[8-9]\d*|14\.8[8-9]\d*|14\.90[0-6]\d*|14\.9|14\.907[0-5]\d*|14\.907);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	1050	in_lower_case	T	C	13	PASS	DNALM_L2=(?#4.39035)(?:4\.3859[5-9]\d*|4\.38[6-9]\d*|4\.39[0-3]\d*|4\.39|4\.394[0-6]\d*|4\.394|4\.3947[0-3]\d*|4\.3947);DNALM_STATUS=ok	GT	1\|0	0\|0$
chr1	1	first_base	A	G	14	PASS	NEVER_DEFINED=a%2Cb;FLAG;DNALM_L2=(?#13.6161)(?:13\.602[4-9]\d*|13\.60[3-9]\d*|13\.61\d*|13\.62[0-8]\d*|13\.62|13\.629[0-6]\d*|13\.629);DNALM_STATUS=ok	GT	0/0	1/1$
chr2	700	last_base	T	C	15	PASS	DP=3;CSQ=x\|<b>\|\$\(y\);DNALM_L2=(?#11.9092)(?:11\.897[2-9]\d*|11\.89[8-9]\d*|11\.9[0-1]\d*|11\.9|11\.920\d*|11\.92|11\.9210\d*|11\.921);DNALM_STATUS=ok	GT:DP	0/1:7	\./\.$
chr1	320	three	C	A,G,T	16	PASS	DP=12;DNALM_L2=(?#8.29938)(?:8\.29[1-9]\d*|8\.30[0-6]\d*|8\.3|8\.307[0-6]\d*|8\.307),(?#7.08307)(?:7\.0759\d*|7\.07[6-9]\d*|7\.08\d*|7\.090[0-1]\d*|7\.09),(?#7.107)(?:7\.099[8-9]\d*|7\.10\d*|7\.1|7\.11[0-3]\d*|7\.11|7\.114[0-1]\d*|7\.114);DNALM_STATUS=ok,ok,ok	GT	1\|0	0\|0$
chr1	600	mixed	C	T,<DEL>,\*	17	PASS	DNALM_L2=(?#0.740681)(?:0\.7399[4-9]\d*|0\.740\d*|0\.74|0\.741[0-3]\d*|0\.741|0\.7414[0-2]\d*|0\.7414),\.,\.;DNALM_STATUS=ok,symbolic_allele,symbolic_allele	GT	0/0	1/1$
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
chr2	233	\.	T	C	28	PASS	DP=12;DNALM_L2=(?#7.69279)(?:7\.68[5-9]\d*|7\.69\d*|7\.700[0-4]\d*|7\.7);DNALM_STATUS=ok	GT	1\|0	0\|0$
